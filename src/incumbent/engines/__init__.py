"""SEAM 3. Where predictors run, each behind the contract of `base.Engine`.

base      the contract: answer inside a deadline, or raise PredictError
inline    in this process: predictors that we run ourselves (rules, ONNX)
worker    in a child process that may hang, crash or leak without a request failing
exchange  messages of a worker's pipe without waiting for them
opening   which of the two a version gets
"""
