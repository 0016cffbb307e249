"""The benchmark's job type that asks the model once; its short form is an acceptance test."""

from bench.agents import asks_model as asks_model
