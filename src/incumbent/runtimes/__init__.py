"""SEAM 2. What kind of predictor it is (rule, onnx, lightgbm, sklearn, …), and how a version lies on disk.

    base        the contract of a predictor, and the columns that it takes
    signature   JSON rows in, checked columns out (answering path)
    frames      DataFrames in, columns and an inferred signature out (judging path)
    schema      the DataFrame of the training rows, rebuilt from columns (judging path)
    rule linear onnx lightgbm  predictors that the answering path runs: numpy, onnxruntime, LightGBM's C library
    sklearn     a fitted scikit-learn-like estimator, stored with skops or (by opt-in) pickle (judging path)
    xgboost catboost  their own files, which hold no code (judging path, or in a worker)
    torch safetensors  a network of PyTorch as ONNX, and weights in the module that code builds (judging path)
    network     TorchScript or weights in a file, looked at before PyTorch sees them
    pyfunc      a folder of somebody's code, by opt-in, in a worker only
    endpoint    a system behind an address, asked over HTTP (in a worker, on the answering path)
    said        what other systems say, as probabilities or numbers
    people reference  what people, or a system that answers no new rows, said: compared with, never served
    naming      the columns that a model takes, by its own names
    closed whole  does a zip stay inside its bounds, is an ONNX model in one piece? (judging path)
    exported    a version as a plain folder of files, and back
    proof       is a compiled twin the equal of the estimator? (judging path)
    fold compile  a linear twin and LightGBM's, an ONNX twin (judging path)
    kinds       which module packs, loads and translates which kind
    artefact    save a version as blobs with a manifest; load it, and replay its golden rows
    golden      what becomes of golden rows where some must be forgotten: others take their place
"""
