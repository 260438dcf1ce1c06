//! The macros that describe wire types.

/// Defines structs whose fields follow each other on the wire (RFC 4506 section 4.14). A struct may
/// have one type parameter, for protocols whose versions differ in the width of a field.
#[macro_export]
macro_rules! xdr_struct {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident $(<$parameter:ident>)? {
            $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)*
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name $(<$parameter>)? {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl $(<$parameter: $crate::xdr::Encode>)? $crate::xdr::Encode for $name $(<$parameter>)? {
            fn encode(&self, encoder: &mut $crate::xdr::Encoder) {
                $($crate::xdr::Encode::encode(&self.$field, encoder);)*
            }
        }

        impl $(<$parameter: $crate::xdr::Decode>)? $crate::xdr::Decode for $name $(<$parameter>)? {
            fn decode(
                decoder: &mut $crate::xdr::Decoder<'_>,
            ) -> Result<Self, $crate::xdr::DecodeError> {
                Ok(Self { $($field: $crate::xdr::Decode::decode(decoder)?,)* })
            }
        }
    )*};
}

/// Defines enumerations (section 4.3); a number without a name is an error.
#[macro_export]
macro_rules! xdr_enum {
    ($(
        $(#[$meta:meta])*
        pub enum $name:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $value:literal,)*
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum $name {
            $($(#[$variant_meta])* $variant = $value,)*
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
        }

        impl TryFrom<u32> for $name {
            type Error = $crate::xdr::DecodeError;

            fn try_from(value: u32) -> Result<Self, Self::Error> {
                match value {
                    $($value => Ok(Self::$variant),)*
                    _ => Err($crate::xdr::DecodeError::BadDiscriminant {
                        type_name: stringify!($name),
                        value,
                    }),
                }
            }
        }

        impl $crate::xdr::Encode for $name {
            fn encode(&self, encoder: &mut $crate::xdr::Encoder) {
                encoder.u32(*self as u32);
            }
        }

        impl $crate::xdr::Decode for $name {
            fn decode(
                decoder: &mut $crate::xdr::Decoder<'_>,
            ) -> Result<Self, $crate::xdr::DecodeError> {
                decoder.u32()?.try_into()
            }
        }
    )*};
}

/// Defines unions (section 4.15): the discriminant is an unsigned integer, an arm has one value
/// or none.
#[macro_export]
macro_rules! xdr_union {
    ($(
        $(#[$meta:meta])*
        pub enum $name:ident $(<$parameter:ident>)? {
            $($(#[$variant_meta:meta])* $variant:ident $(($type:ty))? = $value:literal,)*
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name $(<$parameter>)? {
            $($(#[$variant_meta])* $variant $(($type))?,)*
        }

        impl $(<$parameter: $crate::xdr::Encode>)? $crate::xdr::Encode for $name $(<$parameter>)? {
            fn encode(&self, encoder: &mut $crate::xdr::Encoder) {
                match self {
                    $($crate::xdr_union!(@pattern value, $variant $(($type))?) => {
                        encoder.u32($value);
                        $(<$type as $crate::xdr::Encode>::encode(value, encoder);)?
                    })*
                }
            }
        }

        impl $(<$parameter: $crate::xdr::Decode>)? $crate::xdr::Decode for $name $(<$parameter>)? {
            fn decode(
                decoder: &mut $crate::xdr::Decoder<'_>,
            ) -> Result<Self, $crate::xdr::DecodeError> {
                match decoder.u32()? {
                    $($value => Ok(
                        Self::$variant $((<$type as $crate::xdr::Decode>::decode(decoder)?))?
                    ),)*
                    value => Err($crate::xdr::DecodeError::BadDiscriminant {
                        type_name: stringify!($name),
                        value,
                    }),
                }
            }
        }
    )*};
    (@pattern $value:ident, $variant:ident ($type:ty)) => { Self::$variant($value) };
    (@pattern $value:ident, $variant:ident) => { Self::$variant };
}
