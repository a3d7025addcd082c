"""Where shapes come from: folders, archives, downloads, array sets, and the labels of what is in them."""
