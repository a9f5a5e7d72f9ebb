"""The data room: from ``data:`` in a spec to normalised batches on a device.

`sources` is the catalogue: what each source offers (a `Signature`, without torch) and how it is
loaded. Each source reads its files into a `Raw`: `cifar100`, `cifar10`, `fashion_mnist` and
`fashion_mini`; `arrays`; `folder` (with `tree`); `table` (with `columns` and `table_targets`);
`vision` (with `vision_sets`). `storage` decides whether `pictures` in files are kept in memory or
streamed, after a `survey` has read each of them once; `dataset` makes a `DataSet` with splits of
that; `batches` serves it to the trainer, with `augment` on whole batches and `workers` that decode.
`download`, `idx`, `npz`, `pickles` and `decoding` read safely; `hierarchy` and `targets` check the
labels; `leakage` and `sheet` look at what there is.
"""
