"""The data room: from ``data:`` in a spec to normalised batches on a device.

`sources` is the catalogue: what each source offers (a `Signature`, without torch) and how it is
loaded. One file per source beside it reads the source's files into a `Raw`; `dataset` turns that
into a `DataSet` with its splits; `batches` serves it to the trainer, with `augment` on whole
batches. `download`, `idx` and `pickles` read files safely; `hierarchy` checks labels.
"""
