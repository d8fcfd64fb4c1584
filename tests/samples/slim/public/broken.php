<?php

not_defined();
