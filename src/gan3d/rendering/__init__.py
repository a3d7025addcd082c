"""Pictures, plots, contact sheets and the interactive viewer."""
