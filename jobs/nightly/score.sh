#!/bin/sh
# Run `gamesales score`, and try again while it ends with exit code 7, "try again later". For cron, and for any other
# scheduler without retries of its own. All other exit codes are final: docs/guides/score.md lists them.
#
#     score.sh [ARGUMENT...]             the arguments of gamesales score; none: the job in jobs/score.toml
#
#     GAMESALES=PROGRAM                  default: .venv/bin/gamesales of this checkout
#     PAUSES="SECONDS SECONDS..."        the pauses between attempts; default: "300 900 1800 3600"
#
# A second start is harmless: a run that is active holds a lease, and a finished run is not repeated.
cd "$(dirname "$0")/../.." || exit 2
for pause in ${PAUSES-300 900 1800 3600} last; do
    "${GAMESALES:-.venv/bin/gamesales}" score "$@"
    code=$?
    if [ "$code" -ne 7 ] || [ "$pause" = last ]; then
        exit "$code"
    fi
    echo "exit code 7: next attempt in $pause s" >&2
    sleep "$pause"
done
