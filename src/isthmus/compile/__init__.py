"""Objects to intent, for one site: pure, incremental, and never raising.

`compile_site` compiles once; a `Compiler` compiles change by change. What comes out is in `intent.py`, and it is all
that emitters and explanations know of the compiler.
"""

from isthmus.compile.compiler import Compilation, Compiler, FoundInputs, compile_site
from isthmus.compile.document import diagnostic_document, intent_document

__all__ = ["Compilation", "Compiler", "FoundInputs", "compile_site", "diagnostic_document", "intent_document"]
