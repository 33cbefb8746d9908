"""What is drawn, as numbers: scale, levels, panels, tracks, cameras."""
