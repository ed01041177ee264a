"""Predictions of a trained model for a user's pictures: drawings, COCO results, label maps."""
