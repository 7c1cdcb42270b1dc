"""How good predictions are: a data set and an estimator, or a file of predictions, to scores and a report."""
