from .gap import GlobalAveragePooling
