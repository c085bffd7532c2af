"""Training on labels: a whole network, or a linear layer on a frozen one."""
