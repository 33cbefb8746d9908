"""Fabio Crameri's scientific colour maps lipari, navia, oslo and vik, embedded as 256 sRGB byte triples each.

Crameri, F. (2018), Scientific colour maps, Zenodo, doi:10.5281/zenodo.1243862; Crameri, Shephard and Heron, "The misuse
of colour in science communication", Nature Communications 11, 5444 (2020). The tables are his, under this licence:

MIT License

Copyright (c) 2020 Fabio Crameri

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""

from __future__ import annotations

import base64

import numpy as np

_TABLES = {
    "lipari": (
        "AxMmBBQoBBYpBBcrBRgtBRovBRsxBRwzBh01Bh83BiA4ByE6ByI8ByQ+CCVACCZCCShECSlGCipICixKCy1LDC5NDTBPDTFRDjNTDzRV"
        "EDVXETdYEzhaFDlcFTteFjxfGD5hGT9jG0BkHUJmHkNoIERpIkZrJEdsJUhtJ0lvKUtwK0xxLU1yL05zMU90NFB1NlF2OFJ3OlN3PFR4"
        "PlV4P1Z5QVZ5Q1d6RVh6R1h6SFl6Sll6TFp6TVp7T1t7UFt6Ult6U1x6VFx6Vlx6V1x6WF16Wl16W115XF15XV15Xl15YF54YV54Yl54"
        "Y154ZF53ZV53Zl53aF53aV52al52a192bF91bV91bl91cF90cV90cl90c190dF9zdl9zd19zeF9yeV9yel9yfGBxfWBxfmBxgGBwgWBw"
        "gmBwg2BvhWBvhmBvh2BuiWBuimBujGBtjWFtjmFskGFskWFsk2FrlGFrlmFrl2FqmGFqmmFpm2FpnWJpn2JooGJoomJno2JnpWJnpmJm"
        "qGJmqmJlq2NlrWNlrmNksGNksmNks2NjtWNjt2RiuGRiumRivGRhvmVhv2VhwWVgw2ZgxWZgxmZfyGdfymdfy2hfzWhfz2le0Gpe0mpe"
        "1Gte1Wxe121e2G5e2m9e23Bf3XFf3nJf33Nf4HRg4XZg4ndg43hh5Hph5Xti5nxj535j539k6IFl6IJl6YRm6YVn6Ydo6Yho6opp6otq"
        "6o1r6o5s6pBt6pFu6pJu6pRv6ZVw6Zdx6Zhy6Zlz6Zt06Jx16J126J536KB356F456J556N656V75qZ85qd95qh+5qp/5quA5qyB5a2C"
        "5a+E5bCF5bGG5bKH5bSI5bWK5baL5biM5bmO5bqP5ryQ5r2S5r6T5sCV58GX58OY58Sa6Mac6Med6cmf6cqh6syj6s2l68+n69Cp7NKr"
        "7dOt7dWv7tax79iz79q18Nu38d258t678uC+8+HA9OPC9eXE9ubG9ujJ9+nL+OvN+e3P+u7R+/DU+/HW/PPY/fXa"
    ),
    "navia": (
        "AxMnBBUpBBYrBBcsBBguBBkwBRoyBRs0BRw2BR04BR46BSA8BSE+BSJABSNCBSREBSVGBSZIBihKBilMBipOBitQBixSBi5UBi9WBjBY"
        "BjFaBzJcBzReBzVgBzZiBzdkBzlmCDpoCDtqCDxrCD5tCT9vCUBxCkFzCkN0C0R2C0V4C0Z5DEh7DUl9DUp+DkyADk2BD06CEE+EEFGF"
        "EVKGElOHE1SIE1aJFFeKFViLFlmMF1qNF1yNGF2OGV6OGl+PG2CPG2GQHGKQHWOQHmSRHmWRH2aRIGeRIGiRIWmRImqRImuRI2yRJGyR"
        "JG2RJW6QJm+QJm+QJ3CQJ3GPKHGPKHKPKXOPKnOOKnSOK3WOK3WNLHaNLHaNLXeMLXiMLniML3mLL3mLMHqLMHqKMXuKMXyKMnyJMn2J"
        "M32JNH6INH6INX+INX+HNoCHNoCGN4GGN4GGOIKFOYOFOYOFOoSEOoSEO4WEPIWDPIaDPYaCPYeCPoiCP4iBP4mBQImBQIqAQYqAQot/"
        "Qox/Q4x/RI1+RI1+RY59Ro99R499R5B8SJF8SZF7SZJ7SpN6S5N6TJR6TJV5TZV5TpZ4T5d4UJh3UJh3UZl2Upp2U5t1VJt1VZx0Vp10"
        "V55zV59zWKByWaByWqFxW6JxXKNwXaRwXqVvX6ZvYKduYqhuY6ltZKptZatsZqxsZ61raa5raq9qa7BqbbFpbrJpcLNpcbRpc7VodLZo"
        "drdoeLloebpoe7tofbxof71ogb9og8BohcFph8JpicNqjMVqjsZrkMdsk8htlcpumMtvmsxwnM1yn85zos90pNF2p9J4qdN5rNR7rtV9"
        "sdZ/s9eBtdiDuNmFutqHvNuJv9yLwdyNw92Qxd6Sx9+UyeCWy+CYzeGbz+Kd0eOf0+Oh1eSj1+Wl2OWo2uaq3Oes3eeu3+iw4Oiy4um0"
        "4+q25eq45uu66Ou86ey+6u2/6+3B7e7D7u7F7+/G8O/I8fDK8/DL9PHN9fHP9vLQ9/LS+PPT+fPV+vPW+/TX/PTZ"
    ),
    "oslo": (
        "AQEBAQIDAgQFAgUHAwYJBAcLBAgNBQkPBQoQBgsSBgwTBw0VCA4WCA8XCRAYCREZChIbCxMcCxMdCxQeDBUfDBYgDRYiDRcjDRgkDRkl"
        "DRknDRooDRspDhsqDhwsDh0tDh4uDh4vDh8xDiAyDyEzDyE1DyI2DyM3DyQ5DyU6ECY8ECY9ECc+EChAEClBESpDEStEEStFESxHEi1I"
        "Ei5KEi9LEjBMEzFOEzJPEzJRFDNSFDRUFDVVFDZXFTdYFThaFTlbFjpdFjteFztgFzxhFz1jGD5kGD9mGUBnGUFpGUJqGkNsGkRtG0Vv"
        "G0ZwHEdyHEhzHUh1HUl2Hkp4Hkt6H0x7IE19IE5+IU+AIVCBIlGDI1KFI1OGJFSIJVWJJlaLJleMJ1iOKFmQKVqRKluTK1yULF2WLV6Y"
        "Ll+ZL2CbMGGcMWKeMmOgM2ShNGWjNmakN2emOGmoOmqpO2urPWysPm2uQG6vQXCxQ3GyRHKzRnO1R3W2SXa4S3e5THi6Tnq7UHu8UXy9"
        "U32+VH6/Vn/AWIHBWYLCW4PDXITDXoXEYIbFYYfFY4jGZInGZYrHZ4vHaIzHao3Ia47IbI/IbpDIb5DJcJHJcpLJc5PJdJTJdZTJd5XJ"
        "eJbJeZfKepjKe5jKfZnKfprKf5vKgJvKgZzKg53KhJ7KhZ7Khp/Kh6DKiaDKiqHKi6LJjKPJjaPJjqTJkKXJkabJkqbJk6fJlKjJlqnJ"
        "l6nJmKrJmavJmqzJnKzJna3Jnq7Jn6/JoK/JorDKo7HKpLLKpbPKp7TKqLTKqbXKqrbKrLfKrbjLrrnLsLrLsbvLsrzMtL3Mtb3Mtr7N"
        "uL/NucHNusLOvMPOvcTPv8XPwMbQwsfRw8jRxcnSxsvTx8zTyc3Uys7VzNDWztHXz9LY0dPZ0tXa1Nbb1djc19nd2Nre2tzf293g3d7h"
        "3uDi4OHk4uPl4+Tm5ebn5ufp6Onq6err6+zt7O3u7u7v7/Dx8fHy8/P09PT19vb29/f4+fn5+vr7/Pz8/f3+////"
    ),
    "vik": (
        "ABJhARRiARVjARdkARhlARpmAhxnAh1oAh9pAiBqAiJrAiNsAiVtAiduAihvAipwAitxAi1yAi5zAjB0AjF1AjN2AjR3AjZ4Ajd5Ajl6"
        "Ajp7Azx8Az59Az9+A0F/A0KAA0SBA0WCA0eDA0mEA0qFBEyGBE2HBE+IBVGJBVKKBlSLBlaMB1eNCFmPCVuQC12RDF6SDmCTEGKUEWSW"
        "E2aXFWeYF2mZGWuaHG2cHm+dIHGeI3OgJXWhKHeiK3mkLXulMH2mM3+oNoGpOYOrPIWsP4etQomvRYuwSI2yS5CzTpK0UZS2VJa3V5i5"
        "Wpq6XZy7YZ69ZKC+Z6LAaqTBbabCcajEdKrFd6zGeq7IfbDJgLLKhLTMh7bNirjOjbrQkLzRlL7Sl8DUmsLVncTWoMXYo8fZp8naqsvc"
        "rc3dsM/es9HfttPhutXivdbjwNjkw9rlxtvmyd3nzN/oz+Do0uHp1ePp2OTp2+Xp3ubp4Obp4ufo5efo5+fn6Ofl6ubk6+bi7OXg7eTe"
        "7uPc7uHa7uDY7t7V7t3T7tvQ7tnN7dfL7dXI7NPF7NHD69DA6s696cy66cq46Mi158ay5sSw5cGt5L+q5L6o47yl4rqi4big4Lad37Sa"
        "37KY3rCV3a6T3KyQ26qN26iL2qaI2aSG2KKD16CB1p9+1p181Zt51Jl305d005Vy0pRw0ZJt0JBrz45oz4xmzotkzYlhzIdfzIVdy4Na"
        "yoJYyYBWyX5TyHxRx3tPxnlMxndKxXVIxHRFw3JDwnBBwm4/wW08wGs6v2k4vmc2vmUzvWQxvGIvu2Atul4quFwot1omtlgktVUhs1Mf"
        "slEdsE8br0wYrUoWq0gUqUUSp0MQpUAPoz4NoTwLnzkKnDcJmjUImDMHljEHlC8GkS0GjysGjSkGiycGiSYGhyQGhSIGgyEGgR8Gfx4G"
        "fh0GfBsGehoGeBgGdhcGdBUGcxQGcRMHbxEHbRAHbA4Hag0HaAwHZwoHZQkHYwcHYgYHYAQIXgMIXQIIWwEIWQAI"
    ),
}
NAMES = tuple(_TABLES)


def read_table(name: str) -> np.ndarray:
    """The sRGB colours of one map, low to high: float64 (256, 3) in 0…1.

    Example:
        >>> (read_table("lipari")[0] * 255).round()
        array([ 3., 19., 38.])
    """
    return np.frombuffer(base64.b64decode(_TABLES[name]), np.uint8).reshape(256, 3) / 255.0
