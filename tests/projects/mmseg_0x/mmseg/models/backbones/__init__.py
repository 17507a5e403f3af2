from .mobilenet import MobileNet
