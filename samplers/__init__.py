"""Seeds → graph → subgraphs → proved questions."""
