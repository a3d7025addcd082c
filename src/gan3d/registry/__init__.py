"""The model registry: what is logged and served, its card, who becomes champion, and how a model is fetched."""
