"""The documented constants of `nuke.curvelib`.

The numbers are those of the Python reference of Nuke 9, the names of attributes those that saved scripts
have. What no script at hand has (the `kDynamic...` ones, `kBrushTypeAttribute`) is a guess.
"""

from __future__ import annotations


class AnimAttributes:
    kAlphaAttribute = "a"
    kBlendingModeAttribute = "bm"
    kBlueAttribute = "b"
    kBrushSizeAttribute = "bs"
    kBrushSpacingAttribute = "bsp"
    kBrushTypeAttribute = "bt"
    kBuildUpAttribute = "bu"
    kDynamicHardnessAttribute = "dh"
    kDynamicSizeAttribute = "ds"
    kDynamicTransparencyAttribute = "dt"
    kFeatherFallOffAttribute = "ff"
    kFeatherOnAttribute = "fo"
    kFeatherXAttribute = "fx"
    kFeatherYAttribute = "fy"
    kGreenAttribute = "g"
    kHardnessAttribute = "h"
    kInvertedAttribute = "inv"
    kLifeTimeMAttribute = "ltm"
    kLifeTimeNAttribute = "ltn"
    kLifeTimeTypeAttribute = "ltt"
    kOpacityAttribute = "opc"
    kRedAttribute = "r"
    kSourceAttribute = "src"
    kVisibleAttribute = "vis"


class FlagType:
    eUndefineFlag = -1
    eBreakFlag = 0
    eTangentLengthLockFlag = 1
    eKeySelectedFlag = 2
    eLeftTangentSelectedFlag = 3
    eRightTangentSelectedFlag = 4
    eOpenFlag = 5
    eSelectedFlag = 6
    eActiveFlag = 7
    eVisibleFlag = 8
    eRenderableFlag = 9
    eLockedFlag = 10
    ePressureInZFlag = 11
    eNukeAnimCurveEvalFlag = 12
    eRelativeTangentFlag = 13
    eMaxFlag = 14
