"""The pages. No rule of its own stands here: services decide, these handlers ask and show."""
