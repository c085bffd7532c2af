"""One trainer for all models. It knows one protocol and no block or modality: see ``protocol.Trainable``."""
