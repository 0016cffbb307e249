"""The benchmark's six steps that are recorded; its short form is an acceptance test."""

from bench.agents import recovering as recovering
