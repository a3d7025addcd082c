"""`gan3d serve`: the registry's generator over HTTP, with meshes and pictures as the files that they are."""
