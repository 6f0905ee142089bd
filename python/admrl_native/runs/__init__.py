"""What a run is made of: configuration, folder, checkpoints, metrics, progress, summary."""
