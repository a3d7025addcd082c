"""The commands of `gan3d`, a module a group; heavy packages are imported inside them."""
