"""Pictures of voxels, contact sheets, plots, the interactive viewer and HTML pages."""
