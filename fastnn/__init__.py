"""fastnn: neural networks on CPUs at the speed of the hardware, in numbers you can check."""
