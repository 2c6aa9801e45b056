"""Templates of the plugin that ``suanli new-plugin`` writes; ``$name`` and ``$package`` are filled in."""
