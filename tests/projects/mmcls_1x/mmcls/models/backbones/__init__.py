from .resnet_cifar import ResNet_CIFAR

__all__ = ['ResNet_CIFAR']
