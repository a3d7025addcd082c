"""`gan3d serve`: shapes of a model over HTTP, with meshes and pictures as plain files."""
