# Argument: a folder with cases.json and the images that it names. Prints one JSON line per case.
import json
import sys

from agent.esp32_ota import image
from tests.esp32_ota.cases import answer

folder = sys.argv[1]
with open(folder + "/cases.json") as file:
    cases = json.load(file)
images = {}
for case in cases:
    name = case["image"]
    if name not in images:
        with open(folder + "/" + name, "rb") as file:
            images[name] = bytearray(file.read())
    print(json.dumps(answer(image, images[name], case)))
