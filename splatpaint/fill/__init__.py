"""The fill: new splats for what no photo shows, planned, painted and fitted in rounds."""
