"""Pose estimation: where the joints of people, animals, hands or faces are."""
