"""llama.cpp's own HTTP server as an upstream: the PyPI package `xllamacpp`, with the model that a node embeds.

    bench/inference/run.sh ../../e2e/llama_cpp.py PORT        serves until it is ended

It answers chats, completions and embeddings. The model's own chat template knows no tools, so one is given that does."""
import json
import os
import signal
import sys

# Tokens that the model has and no text holds: a call of a tool stands between the first two.
CALL_BEGINS, CALL_ENDS, TURN_ENDS = 8, 10, 2
# A model of 135M parameters doesn't call tools by itself. With this bias it begins a call wherever llama.cpp's grammar lets it,
# which also holds it to the tool's name and parameters.
CALL_A_TOOL = {CALL_BEGINS: 50, CALL_ENDS: 50, TURN_ENDS: 100}

TEMPLATE = r"""
{%- if messages[0].role != 'system' %}
    {{- '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}
{%- endif %}
{%- if tools %}
    {{- '<|im_start|>system\nTools, one a line:\n' }}
    {%- for tool in tools %}{{- tool | tojson + '\n' }}{%- endfor %}
    {{- '<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\n' }}
    {%- if message.content %}{{- message.content }}{%- endif %}
    {%- for tool_call in message.tool_calls or [] %}
        {{- '<issue_start>{"name": "' + tool_call.function.name + '", "arguments": ' }}{{- tool_call.function.arguments | tojson }}{{- '}<issue_closed>' }}
    {%- endfor %}
    {{- '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
"""


def serve(port):
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = os.environ["JEJU_MODEL"]
    parameters.port = port
    parameters.n_ctx = 8 * 2048
    parameters.n_parallel = 8
    parameters.cache_ram_mib = 0
    parameters.verbosity = -1
    parameters.chat_template = TEMPLATE
    parameters.embedding = True
    parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    # More would spin at barriers while the node has the cores.
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(parameters)
    print(json.dumps({"event": "ready", "address": server.listening_address}), flush=True)
    signal.sigwait([signal.SIGTERM, signal.SIGINT])


if __name__ == "__main__":
    # In all threads that follow, so that the wait below gets them.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    serve(int(sys.argv[1]))
    # llama.cpp's threads needn't wind down.
    os._exit(0)
