"""Training stages: parameters, memory, step time, throughput and the run."""
