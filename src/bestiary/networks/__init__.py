"""Networks: plain modules that turn tensors into tensors and know of no loss."""
