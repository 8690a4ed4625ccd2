"""llama.cpp as a reference: its own HTTP server, in this process, on loopback, with one thread."""

import json
import os
import urllib.request

import xllamacpp

MODEL = os.environ["JEJU_MODEL"]


class Reference:
    def __init__(self, embedding=False):
        parameters = xllamacpp.CommonParams()
        parameters.model.path = MODEL
        parameters.n_ctx = 4096
        parameters.n_parallel = 1
        parameters.cache_ram_mib = 0
        parameters.verbosity = -1
        parameters.cpuparams.n_threads = 1
        parameters.cpuparams_batch.n_threads = 1
        if embedding:
            parameters.embedding = True
            parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        self.server = xllamacpp.Server(parameters)

    def post(self, path, body):
        request = urllib.request.Request(
            self.server.listening_address + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=600) as response:
            return json.load(response)

    def tokenize(self, text, special=False):
        body = {"content": text, "add_special": False, "parse_special": special}
        return self.post("/tokenize", body)["tokens"]

    def embed(self, ids):
        """The mean of the last hidden states, scaled to length 1. Needs `embedding`."""
        return self.post("/v1/embeddings", {"input": ids, "model": "any"})["data"][0]["embedding"]

    def complete(self, ids, count, **options):
        body = {"prompt": ids, "n_predict": count, "temperature": 0, "ignore_eos": True, **options}
        return self.post("/completion", body)

    def next_token(self, ids, wanted):
        """The most probable token after `ids`, and the logarithm of the probability of `wanted`."""
        for candidates in (100, 5000, 49152):
            answer = self.complete(ids, 1, n_probs=candidates, cache_prompt=True)
            probabilities = answer["completion_probabilities"][0]["top_logprobs"]
            for entry in probabilities:
                if entry["id"] == wanted:
                    return probabilities[0]["id"], entry["logprob"]
        raise SystemExit(f"token {wanted} isn't among the candidates")
