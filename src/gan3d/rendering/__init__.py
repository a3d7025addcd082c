"""Pictures of voxels, sample sheets, plots, the interactive viewer and HTML pages."""
