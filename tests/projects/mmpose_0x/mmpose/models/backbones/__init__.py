from .my_model import MyModel
