# umqtt.simple of 2017, the one on the package index, imports the module by this name.
from ssl import *
