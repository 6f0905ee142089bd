"""What a run is made of: configuration, presets, its folder, checkpoints, metrics, progress, summary."""
