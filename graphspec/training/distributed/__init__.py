"""Training by several processes: one model, one global batch, each process its part of it.

`world` says who a process is and talks to the others; `shards` gives each its rows of every batch;
`batch_norm` keeps statistics over the whole batch; `wrap` hands the model to DDP or FSDP; `launch`
starts the processes of ``--devices``. torchrun starts them as well, on one machine or many.
"""
