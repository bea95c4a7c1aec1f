"""Score the new titles every night, with Airflow 3.

Copy this file to the folder of DAGs, and change CHECKOUT and the time. The worker needs the checkout, with gamesales in
its .venv. Then check the file, and run it once for a date:

    airflow dags list-import-errors
    airflow dags test gamesales 2026-11-23T02:17:00+00:00
"""

from __future__ import annotations

import subprocess
from datetime import timedelta

import pendulum
from airflow.sdk import CronTriggerTimetable, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

CHECKOUT = "/srv/gamesales"
# The time zone of `timezone` in jobs/score.toml.
TIME_ZONE = pendulum.timezone("UTC")
EXIT_TRY_AGAIN = 7


@dag(
    dag_id="gamesales",
    description="Score new game titles",
    schedule=CronTriggerTimetable("17 2 * * *", timezone=TIME_ZONE),
    start_date=pendulum.datetime(2026, 1, 1, tz=TIME_ZONE),
    catchup=False,  # True scores every date since start_date, and inputs of old dates may be gone
    max_active_runs=1,
    tags=["gamesales"],
)
def gamesales() -> None:
    """Score the titles of a date."""

    @task(retries=6, retry_delay=timedelta(minutes=10), execution_timeout=timedelta(hours=3))
    def score() -> None:
        """Run `gamesales score` for the date of this run. A retry continues a run that was interrupted.

        Raises:
            AirflowException: Exit code 7, "try again later". Airflow retries.
            AirflowFailException: Any other exit code. 6 (published, but a column drifted) and 8 (withheld) need a
                person, and no retry helps.
        """
        run = get_current_context()["dag_run"]
        day = (run.logical_date or run.run_after).astimezone(TIME_ZONE).date()
        command = [f"{CHECKOUT}/.venv/bin/gamesales", "score", "--date", day.isoformat()]
        # Output of the command goes to the log of the task.
        process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            for line in process.stdout:
                print(line, end="")
            code = process.wait()
        finally:
            process.terminate()  # a task that is stopped stops the run; nothing happens after the end
        if code == EXIT_TRY_AGAIN:
            raise AirflowException("gamesales could not run now (exit code 7)")
        if code != 0:
            raise AirflowFailException(f"gamesales score ended with exit code {code}")

    score()


gamesales()
