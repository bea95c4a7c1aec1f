"""TensorBoard logs of a training: the losses and the learning rate of each epoch.

    with log_to_tensorboard(Path("logs/first"), on_epoch) as on_epoch: …
    tensorboard --logdir logs

The losses go to ``train/`` and ``validation/``, as with the callback of Keras, so that one chart shows both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gamesales.data.files import make_folder
from gamesales.errors import UsageError
from gamesales.training.fit import Epoch
from gamesales.training.keras_objects import load_keras


@contextmanager
def log_to_tensorboard(folder: Path | None, on_epoch: Callable[[Epoch], None]) -> Iterator[Callable[[Epoch], None]]:
    """Yield a function that logs an epoch and then calls ``on_epoch``; without a folder, yield ``on_epoch``.

    Raises:
        UsageError: the folder is a file.
    """
    if folder is None:
        yield on_epoch
        return
    if folder.exists() and not folder.is_dir():
        raise UsageError(
            f"{folder} is not a folder; expected a folder for TensorBoard logs", hint="Give another --tensorboard"
        )
    make_folder(folder)
    load_keras()  # sets up TensorFlow
    import tensorflow as tf

    writers: dict[str, Any] = {}

    def write_scalar(run: str, tag: str, value: float, epoch: int) -> None:
        if run not in writers:
            writers[run] = tf.summary.create_file_writer(str(folder / run))
        with writers[run].as_default():
            # tf.summary.scalar needs the package tensorboard, which is only needed to look at the charts.
            tf.summary.write(tag, tf.constant(value), step=epoch, metadata=_make_scalar_metadata())
        writers[run].flush()

    def log_epoch(epoch: Epoch) -> None:
        write_scalar("train", "epoch_loss", epoch.loss, epoch.number)
        write_scalar("train", "epoch_learning_rate", epoch.learning_rate, epoch.number)
        if epoch.validation_loss is not None:
            write_scalar("validation", "epoch_loss", epoch.validation_loss, epoch.number)
        on_epoch(epoch)

    try:
        yield log_epoch
    finally:
        for writer in writers.values():
            writer.close()


def _make_scalar_metadata() -> Any:
    """Make the metadata by which TensorBoard shows a summary as a line chart."""
    import tensorflow as tf

    metadata = tf.compat.v1.SummaryMetadata
    return metadata(plugin_data=metadata.PluginData(plugin_name="scalars"))
