"""cardioloom reads the heart through electrocardiogram, cardiac MRI cine and echocardiogram."""

__version__ = "0.1.0"
