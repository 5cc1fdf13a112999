"""The nets that a recipe can name."""

from typing import Annotated

from pydantic import Field

from gander.nets.r3 import R3Discriminator, R3Generator
from gander.nets.residual import ResidualDiscriminator, ResidualGenerator
from gander.nets.stack import StackDiscriminator, StackGenerator

AnyGenerator = Annotated[StackGenerator | ResidualGenerator | R3Generator, Field(discriminator="kind")]
AnyDiscriminator = Annotated[
    StackDiscriminator | ResidualDiscriminator | R3Discriminator, Field(discriminator="kind")
]
