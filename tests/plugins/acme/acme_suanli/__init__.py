"""A stranger's plugin: it imports suanli and itself, nothing else."""
