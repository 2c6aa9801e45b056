"""The axes of parallelism: data (ZeRO), tensor (with sequence), context, expert, and pipeline schedules."""
