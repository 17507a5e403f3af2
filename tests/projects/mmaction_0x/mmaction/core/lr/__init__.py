from .rel import RelativeStepLrUpdaterHook
