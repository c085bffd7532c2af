"""Training on labels: a whole network (``finetune``), or a linear layer on a frozen one (``linear_lars``)."""
