"""Keras 3: model.fit on arrays. KERAS_BACKEND picks torch or jax; on JAX the step is jitted, as is Keras's default."""

import job
import keras


class Timed(keras.callbacks.Callback):
    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.report = job.Report()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.report.epoch()


args = job.settings()
x, y, val_x, val_y = (part.numpy() for part in job.tensors(args.digits))
model = keras.Sequential(
    [keras.Input((x.shape[1],)), keras.layers.Dense(128, activation="relu"), keras.layers.Dense(10)]
)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(job.LR), loss)
timed = Timed()
validation = {"validation_data": (val_x, val_y), "validation_batch_size": 1000}
history = model.fit(x, y, args.batch, args.epochs, verbose=0, callbacks=[timed], **validation).history
timed.report.end(history["loss"][-1], history["val_loss"][-1])
