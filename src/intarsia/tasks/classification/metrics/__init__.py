"""Metrics of classification: pure functions, and accumulators that count batches."""
