"""Training as TensorBoard shows it: the losses and the learning rate of each epoch.

    with logging_to(Path("logs/first"), on_epoch) as on_epoch: …
    tensorboard --logdir logs

Losses go where Keras's own callback puts them, ``train/`` and ``validation/``, so that both lie in one chart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gamesales.data.files import make_folder
from gamesales.errors import UsageError
from gamesales.training.fit import Epoch
from gamesales.training.network import load_keras


@contextmanager
def logging_to(folder: Path | None, on_epoch: Callable[[Epoch], None]) -> Iterator[Callable[[Epoch], None]]:
    """Give a function that writes an epoch's figures before it calls ``on_epoch``; without a folder, only that.

    Raises: UsageError: there is something else where the folder should be.
    """
    if folder is None:
        yield on_epoch
        return
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder to write TensorBoard's logs in", hint="Give another --tensorboard")
    make_folder(folder)
    load_keras()  # which sets TensorFlow up
    import tensorflow as tf

    writers: dict[str, Any] = {}

    def write(run: str, tag: str, value: float, epoch: int) -> None:
        if run not in writers:
            writers[run] = tf.summary.create_file_writer(str(folder / run))
        with writers[run].as_default():
            # tf.summary.scalar would want the package tensorboard, which only who looks at the charts needs.
            tf.summary.write(tag, tf.constant(value), step=epoch, metadata=_scalar())
        writers[run].flush()

    def tell(epoch: Epoch) -> None:
        write("train", "epoch_loss", epoch.loss, epoch.number)
        write("train", "epoch_learning_rate", epoch.learning_rate, epoch.number)
        if epoch.validation_loss is not None:
            write("validation", "epoch_loss", epoch.validation_loss, epoch.number)
        on_epoch(epoch)

    try:
        yield tell
    finally:
        for writer in writers.values():
            writer.close()


def _scalar() -> Any:
    """Say that a summary is a number for a line chart."""
    import tensorflow as tf

    kinds = tf.compat.v1.SummaryMetadata
    return kinds(plugin_data=kinds.PluginData(plugin_name="scalars"))
